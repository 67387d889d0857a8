def effect_of(finding, function):
    return None
