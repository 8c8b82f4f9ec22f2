mkdir -p node_modules/x keep/node_modules/x a/node_modules; touch node_modules/x/1 keep/node_modules/x/1 keep/node_modules/y a/node_modules/z
printf '%s\n' '**/node_modules' '!keep/node_modules/x' > .dockerignore
