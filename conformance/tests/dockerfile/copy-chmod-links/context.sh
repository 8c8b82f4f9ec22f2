echo f > f
ln -s f l
mkdir d
ln -s ../f d/l
echo z > d/z
