. "$CONTEXTS/links"
printf '%s\n' '**/*.txt' > .dockerignore
