mkdir -p d/s
echo 1 > d/f
ln d/f d/h
ln -s f d/l
chown 33:44 d/f
chmod 4750 d/f
tar --owner=0 --group=0 -cf a.tar d
tar -czf a.tar.gz d
tar -c d | zstd -q > a.tar.zst
echo no tar | gzip -n > n.gz
