mkdir -p a/b/c d "e f" node_modules/x/node_modules; for f in a/1 a/b/2 a/b/c/3 d/4 d/5.md "e f/6" node_modules/x/y node_modules/x/node_modules/z top.md README.md '#h' '!x' 'b\s' "tr "; do echo > "$f"; done
printf '%s' 'W2EtY10KW15hLW5db3AubWQKZC9bMC00XQpbZV0gZi9bITddCg==' | base64 -d > .dockerignore
