"""Definition files: text to frozen values and back, with Apptainer's meaning and better messages."""
