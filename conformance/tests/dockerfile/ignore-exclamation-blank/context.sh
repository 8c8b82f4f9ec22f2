. "$CONTEXTS/links"
printf '%s\n' '*.txt' '! u.txt' '!  t.txt' > .dockerignore
