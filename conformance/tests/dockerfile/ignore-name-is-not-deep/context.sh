. "$CONTEXTS/links"
printf '%s\n' 'a.txt' 'x' > .dockerignore
