. "$CONTEXTS/links"
printf '%s\n' '*' '!d' 'd/e' '!d/e/f' > .dockerignore
