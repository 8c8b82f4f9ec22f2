mkdir -p d/e; echo > d/e/f; chmod 000 d/e/f; chmod 100 d/e
