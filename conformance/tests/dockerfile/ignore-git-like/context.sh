mkdir -p .git src/__pycache__ target/x; touch .git/HEAD src/a.py src/a.pyc src/__pycache__/b target/x/y a.log important.log src/c.log
printf '%s\n' '.git' '**/*.pyc' '**/__pycache__' 'target/' '*.log' '!important.log' > .dockerignore
