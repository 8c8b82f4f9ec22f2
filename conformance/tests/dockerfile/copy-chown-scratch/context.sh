mkdir -p d/e/f d2 node/node_modules/x
for file in d/a.txt d/a.md d/e/b.txt d/e/b.md d/e/f/c.go d/e/f/c.txt d2/a.txt d2/x.go t.txt u.txt v.md node/index.js node/node_modules/x/y.js; do echo "$file" > "$file"; done
ln -s d/a.txt tl
ln -s d dl
ln -s a.txt d/ln
ln -s e d/el
chmod 640 t.txt
chmod 751 d/e
chmod 700 d2
