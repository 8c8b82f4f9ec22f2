. "$CONTEXTS/links"
printf '%s\n' 'd/e**' > .dockerignore
