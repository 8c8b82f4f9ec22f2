mkdir -p d/e/f d2 "sp ace" .hid
for file in d/a.txt d/e/b.txt d/e/f/c.go d2/x t.txt u.txt "sp ace/q r" .hid/.h; do echo "$file" > "$file"; done
ln -s a.txt d/ln
ln -s d dl
ln -s t.txt tl
chmod 640 t.txt
chmod 751 d/e
