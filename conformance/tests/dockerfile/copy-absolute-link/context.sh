mkdir q
echo hi > q/z
ln -s /q l
