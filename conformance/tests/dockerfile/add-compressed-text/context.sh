echo text | gzip -n > a.gz; echo text | xz > a.xz
