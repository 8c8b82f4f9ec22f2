mkdir a b
echo 1 > a/f
echo 2 > b/f
