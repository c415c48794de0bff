module sandboxes

go 1.19
