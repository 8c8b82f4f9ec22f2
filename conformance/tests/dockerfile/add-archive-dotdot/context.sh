mkdir t
cd t
echo out > out
echo in > in
tar -P --owner 0 --group 0 --mtime @0 --transform 's,^out,../out,' -cf ../a.tar out in
cd ..
rm -r t
