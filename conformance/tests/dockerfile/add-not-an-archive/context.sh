echo text | gzip -n > a.gz; echo text > b.tar; : > empty.tar; head -c 100 /dev/zero > short.tar
