mkdir -p d/e
echo f > d/e/f
