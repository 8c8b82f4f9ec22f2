. "$CONTEXTS/links"
touch a.tar
printf '%s\n' '*.tar' > .dockerignore
