. "$CONTEXTS/links"
printf '%s\n' 't.txt' 'd' > .dockerignore
