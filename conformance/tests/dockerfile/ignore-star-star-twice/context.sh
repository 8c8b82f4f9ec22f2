. "$CONTEXTS/links"
printf '%s\n' '**/e/**' > .dockerignore
