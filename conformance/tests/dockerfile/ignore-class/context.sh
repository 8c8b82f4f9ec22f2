. "$CONTEXTS/links"
printf '%s\n' '[tx].txt' 'd/[a-b]*' > .dockerignore
