. "$CONTEXTS/links"
printf '%s\n' 'd//a.txt' '//u.txt' > .dockerignore
