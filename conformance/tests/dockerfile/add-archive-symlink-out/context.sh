ln -s /etc link
ln -s ../../../etc up
tar --owner 0 --group 0 --mtime @0 -cf a.tar link up
rm link up
