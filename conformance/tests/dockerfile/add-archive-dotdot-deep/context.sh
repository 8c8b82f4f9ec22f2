echo out > out
tar -P --owner 0 --group 0 --mtime @0 --transform 's,^out,../../../../../../etc/out,' -cf a.tar out
rm out
