. "$CONTEXTS/links"
printf '%s\n' 'd2' '*.txt' > .dockerignore
