. "$CONTEXTS/links"
printf '%s\n' 'T.TXT' 'D' > .dockerignore
