"""What a data set is worth before anything is trained on it: `patchbay data check` and `patchbay data split`."""
