n=$(printf 'n%.0s' $(seq 120)); mkdir -p "in/$n/$n"; echo 1 > "in/$n/$n/$n"; ln -s "$n/$n/$n" in/l; ln "in/$n/$n/$n" "in/$n/h"
tar -C in --format=gnu -cf a.tar .; tar -C in --format=posix -cf b.tar .; rm -r in; n=${n:30}; mkdir -p "in/$n"; echo 1 > "in/$n/$n"; tar -C in --format=ustar -cf c.tar .
