. "$CONTEXTS/links"
printf '%s\n' 'u.txt' > .dockerignore
