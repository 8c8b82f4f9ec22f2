. "$CONTEXTS/links"
printf '%s\n' '*.txt' '!t.txt' 't.txt' '!u.txt' > .dockerignore
