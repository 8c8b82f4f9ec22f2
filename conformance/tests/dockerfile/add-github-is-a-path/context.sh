mkdir -p github.com/a/b; echo 1 > github.com/a/b/f
