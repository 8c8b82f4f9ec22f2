mkdir -p a/x b/x
echo 1 > a/x/f
echo 2 > b/x/f
echo c > c
echo g > b/x/g
