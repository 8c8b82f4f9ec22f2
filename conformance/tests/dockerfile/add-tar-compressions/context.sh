mkdir d; echo 1 > d/f; t() { tar --owner=0 --group=0 --mtime=@0 -c d; }; t | gzip > a.tar.gz; t | bzip2 > a.tar.bz2; t | xz > a.tar.xz; t | zstd -q > a.tar.zst; rm -r d
