. "$CONTEXTS/links"
printf '%s\n' 'd/../t.txt' '../u.txt' > .dockerignore
