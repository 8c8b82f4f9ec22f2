"""A page that says hello, and where it runs."""

import os
import platform

from flask import Flask

app = Flask(__name__)
GREETING = "Hello from a container"


@app.get("/")
def hello():
    """One line of text."""
    return f"{GREETING}: Python {platform.python_version()}, process {os.getpid()}\n"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "8080")))
