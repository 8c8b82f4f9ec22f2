. "$CONTEXTS/links"
printf '%s\n' '**.txt' '**.go' > .dockerignore
