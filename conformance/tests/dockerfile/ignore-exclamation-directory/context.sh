. "$CONTEXTS/links"
printf '%s\n' 'd' '!d/e' > .dockerignore
