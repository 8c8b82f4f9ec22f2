"""Signs a greeting and checks its signature."""

import sys

from itsdangerous import Signer


def greeting():
    signer = Signer("example")
    return signer.unsign(signer.sign("hello from python")).decode()


if __name__ == "__main__":
    print(greeting(), *sys.argv[1:])
