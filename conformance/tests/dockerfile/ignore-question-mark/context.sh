. "$CONTEXTS/links"
printf '%s\n' '?.txt' 'd?' 'd/?' > .dockerignore
