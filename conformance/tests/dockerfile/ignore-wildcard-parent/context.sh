. "$CONTEXTS/links"
printf '%s\n' 'd*/x' 'd*/e/f' > .dockerignore
