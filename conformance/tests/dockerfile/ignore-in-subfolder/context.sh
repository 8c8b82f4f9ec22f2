. "$CONTEXTS/links"
printf '%s\n' 'a.txt' > d/.dockerignore
