. "$CONTEXTS/links"
printf '%s\n' '**' '!d/**' > .dockerignore
