mkdir d; echo 1 > d/f; tar --owner=0 --group=0 --mtime=@0 -cf archive d; rm -r d
