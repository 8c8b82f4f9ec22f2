. "$CONTEXTS/links"
printf '%s\n' 'd' '!d/a.txt' > .dockerignore
