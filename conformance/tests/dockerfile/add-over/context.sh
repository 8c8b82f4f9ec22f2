mkdir -p d l
echo 1 > d/f
echo q > l/zz
tar -cf a.tar d l
