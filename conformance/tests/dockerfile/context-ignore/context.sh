mkdir -p o; echo 1 > o/f; echo 2 > o/g; echo f > o/.dockerignore; echo o > .dockerignore
