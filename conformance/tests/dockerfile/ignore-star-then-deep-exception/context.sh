. "$CONTEXTS/links"
printf '%s\n' '*' '!d/e/b.txt' > .dockerignore
