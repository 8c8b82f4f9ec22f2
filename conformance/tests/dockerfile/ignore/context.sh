. "$CONTEXTS/links"
printf '%s\n' '# c' '*.txt' '!u.txt' '**/*.go' 'd2/' '.hid' ' sp ace ' > .dockerignore
