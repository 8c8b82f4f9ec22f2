. "$CONTEXTS/links"
printf '%s\n' '!d' 'd' > .dockerignore
